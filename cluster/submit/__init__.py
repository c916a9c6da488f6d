"""Work handed to a batch system: Slurm jobs and Ray jobs, their text, their records, and what runs inside them."""
