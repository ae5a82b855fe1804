-- Says why a statement cannot be parsed, by failing.
SELECT formatQuerySingleLine({statement:String})
