"""Silver labels: any open_clip model, prompts from the schema, abstention where it is not sure.

Nothing is imported here, so that ``silver`` (tables only) does not wait for torch.
"""
