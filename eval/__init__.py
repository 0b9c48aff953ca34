"""Evaluation of confidence: answers of any checkpoint as records, calibration metrics
over them, and a report.
"""
