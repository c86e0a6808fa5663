"""Who did what to whose data: a trail for each tenant that can be added to, and not changed unnoticed."""
