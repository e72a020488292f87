"""Shards in, a trained and explained synchronisation network out."""
