-- Address base, aliases and the review queue.
select 1;
