"""Tables 1 and 4 of the paper: statistics and reward coefficients of its fourteen datasets."""

# dataset: (task, num_samples, avg_entity_count, avg_entity_rarity, contradiction_pct,
# alpha, beta, gamma, delta)
TABLES_1_AND_4: dict[str, tuple[str, int, float, float, float, float, float, float, float]] = {
    "OCR-VQA": ("QA", 3025, 2.3, 33.58, 25.19, 0.7524, 2.2029, 1.1555, 1.7553),
    "TextVQA": ("QA", 4740, 2.58, 167.17, 30.4, 0.7315, 1.587, 1.7219, 1.4984),
    "OK-VQA": ("QA", 14802, 3.51, 273.18, 15.76, 1.3228, 1.4927, 0.8939, 1.033),
    "GQA": ("QA", 5411, 3.21, 496.27, 20.99, 1.1274, 1.2917, 0.9087, 1.1213),
    "VQAv2": ("QA", 12942, 2.94, 476.8, 16.88, 1.299, 1.2616, 0.8957, 1.0036),
    "sharegpt4v-textvqa": ("Detail", 1966, 4.03, 90.92, 36.27, 0.5651, 2.0607, 2.0, 1.7684),
    "sharegpt4v-web-landmark": ("Detail", 1918, 5.06, 185.45, 18.4, 1.1566, 1.8504, 0.9065, 1.331),
    "LCS-558K": ("Detail", 15956, 4.65, 234.78, 29.38, 0.7576, 1.6301, 1.5983, 1.4916),
    "Google-Landmark": ("Detail", 1079, 4.87, 273.25, 13.44, 1.3744, 1.7084, 0.8901, 1.0786),
    "ART500K": ("Detail", 1096, 4.95, 317.92, 17.52, 1.2328, 1.6545, 0.9007, 1.1635),
    "COCO": ("Detail", 15199, 5.18, 374.59, 21.05, 1.105, 1.515, 0.9104, 1.1901),
    "sharegpt4v-wikiart": ("Detail", 1972, 5.23, 380.97, 26.98, 0.8454, 1.5799, 1.3243, 1.4055),
    "sharegpt4v-web-celebrity": (
        "Detail",
        1895,
        4.95,
        543.13,
        32.36,
        0.6897,
        1.4363,
        1.9706,
        1.4958,
    ),
    "MovieNet": ("Detail", 1131, 3.76, 615.36, 13.23, 1.4154, 1.3053, 0.887, 0.9386),
}

SHORT_NAMES = {
    "Sg4V-TVQA": "sharegpt4v-textvqa",
    "Sg4V-WLand": "sharegpt4v-web-landmark",
    "G-Landmark": "Google-Landmark",
    "Sg4V-Wiki": "sharegpt4v-wikiart",
    "Sg4V-WCeleb": "sharegpt4v-web-celebrity",
}
"""Table 1 prints five datasets under a short name; elsewhere the paper uses the long one."""
