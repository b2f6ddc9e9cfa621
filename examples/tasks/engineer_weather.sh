# Fit a CSV, draw given what is known, and read the score as JSON.
printf 'sky,wind\nrain,strong\nrain,strong\nsun,weak\nsun,weak\nrain,weak\nsun,strong\n' > weather.csv
ancestral fit tabular weather.csv --smoothing 0.5 -o weather.model
ancestral sample weather.model -n 1000 --given wind=strong --random-state 0 | tail -n +2 | sort | uniq -c
ancestral score weather.model weather.csv --json | python -c 'import json, sys; print(json.load(sys.stdin)["mean_log_density"])'
