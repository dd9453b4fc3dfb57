"""What user code sees: definitions as classes, contexts, typed clients, state, promises; over `execution`."""
