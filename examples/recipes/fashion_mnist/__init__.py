"""The stages from a float teacher to an int8 student on Fashion-MNIST, one module each."""
