"""Audit trails: who did what to whose data. One append-only, tamper-evident trail per tenant."""
