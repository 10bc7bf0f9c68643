-- Devices, their readings, rules and alarms.
select 1;
