"""What `lockstep drain` and `lockstep undrain` have in common. No command of its own."""


def give(site: str, *, drained: bool, yes: bool, as_json: bool) -> None:
    """Show the plan, ask, and carry it out."""
    from lockstep import aws, config, console, project
    from lockstep.deployment.progress import now_text, this_holder
    from lockstep.draining import Draining, order_of

    settings = config.load(project.find_root(), project.GLOBAL_STACK)
    order = order_of(settings, site, drained=drained)
    draining = Draining(aws.client, settings, order, console.progress)
    plan = draining.plan(draining.look(), now_text(), this_holder())
    for line in plan.lines:
        console.progress(line)
    if not yes:
        console.confirm(f"{'Drain' if drained else 'Undrain'} {site}?", yes=yes)
        # Whoever was asked may have answered an hour later, and somebody else has drained the other site meanwhile.
        plan = draining.plan(draining.look(), now_text(), this_holder())
    done = draining.carry_out(plan)
    if as_json:
        console.data_json(done.as_json())
    else:
        console.data(f"{site} is {'drained' if drained else 'in service'}")
    if done.followed is None:
        console.warning(f"nobody could ask the name servers of {settings.zone} whether traffic has followed")
    elif not done.followed:
        console.warning(
            f"no traffic goes to {site} yet: its own health check decides, and `lockstep status` tells of it"
        )
    console.progress(f"resolvers keep what they have for up to {settings.ttl} s; to take it back: {order.undo}")
