"""What bytegate does with PyTorch's modules; imported only where torch is."""
