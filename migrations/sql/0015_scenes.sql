-- Versions of scenes, indicators and their values.
select 1;
