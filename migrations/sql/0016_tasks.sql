-- Alerts, tasks and every step of them.
select 1;
