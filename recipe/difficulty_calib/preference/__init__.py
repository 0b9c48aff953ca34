"""Training methods of Table 3: DPO on images (HA-DPO, RLAIF-V), POVID, Less-is-more."""
