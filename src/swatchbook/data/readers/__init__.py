"""One file a data set: from its layout on disk to the rows of a manifest."""
