"""How the labeller in the box is made: captions, contrastive training on drawn garments, measured quality."""
