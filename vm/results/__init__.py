"""What came back of a guest, how it is judged, and the pages that are made of it."""
