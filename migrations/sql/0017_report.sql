-- What the report page and the monthly brief keep.
select 1;
