"""DROO's network, wireless powered MEC (WPMEC), for DDLO and for DROO's own candidate rules."""
