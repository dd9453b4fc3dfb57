"""Schedules: handlers that are run again and again, by cron or at intervals.

`schedule` is what programs declare; `declaration` is how it travels and is kept. `timing` says when ticks come and
`plan` what is to be done about those that have; `keeper` is the virtual object that does it, `course` what it does in
one invocation, and `progress` how far it is; `record` is what a schedule tells of itself. `hosting` is for apps.
"""
