"""Advice from answers: what moves them, what changed, and the cheapest change that reaches a target."""
