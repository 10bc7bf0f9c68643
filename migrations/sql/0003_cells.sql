-- Assessed H3 cells of a run.
select 1;
