"""Other systems' programming interfaces and command lines, answered by vultus."""
