"""Any folder of photographs → one table, or an index to search in, on one machine or on many.

`folder` labels and predicts, `classifier` is a trained model as an encoder of images, `table` writes the
answers as they come, `ray_cluster` spreads the encoding over machines (extra ``ray``). `index` keeps the
embeddings too, `vectors` is the file that holds them and finds the nearest (extra ``search``), `search` asks
it in words or by a photograph. `label_audit` says how wrong labels are, whoever gave them.
"""
