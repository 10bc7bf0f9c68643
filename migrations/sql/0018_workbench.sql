-- Additions to the analyst's workbench.
select 1;
