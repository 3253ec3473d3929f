"""Results for readers: tables, pages, plots and the leaderboard."""
