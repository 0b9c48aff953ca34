"""A multimodal model behind one interface, whatever serves it; the rest of the project knows only `interface`."""
