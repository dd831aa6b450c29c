"""`edgecv doctor`: finds what int8 costs a model, says why, and searches a plan that costs less."""
