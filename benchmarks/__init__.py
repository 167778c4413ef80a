"""What a request costs here and with what a team would pick instead."""
