"""Consent: what students allow their data to be used for."""
