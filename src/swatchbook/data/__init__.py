"""Folders of images → a manifest (a row an image), pixels, and the labels that come with them."""
