"""Where kernels come from: what a person writes, found, fetched or built, and what a kernel is."""
