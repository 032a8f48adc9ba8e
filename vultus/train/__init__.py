"""Training with PyTorch (extra ``train``); nothing else of vultus takes it."""
