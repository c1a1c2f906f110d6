"""Any folder of photographs → one table, on one machine or on many.

`folder` has the public functions, `classifier` is a trained model as an encoder of images, `table` writes the
answers as they come, `ray_cluster` spreads the encoding over machines (extra ``ray``).
"""
