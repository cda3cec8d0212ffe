"""The simulation for as long as one likes: `make simulate`. A slice of it is in `make test`."""
