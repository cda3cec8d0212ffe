"""Who comes in over HTTP. Nothing in here writes to an order: it asks `sync`, and shows."""
