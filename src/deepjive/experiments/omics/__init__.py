"""Real tables of several modalities: missing modalities and labels predicted by DeepJIVE and by other methods."""
