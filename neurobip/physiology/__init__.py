"""Physiology: experiments on a retina, and on recordings of real ones."""
