"""What a face tells before it is named: landmarks, pose, quality, attributes, and the gate."""
