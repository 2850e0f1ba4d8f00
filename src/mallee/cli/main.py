"""The `mallee` command. Each command is a few lines over a module of its own; what went wrong ends on stderr, exit code 1."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from mallee.cli import account as account_commands
from mallee.cli import bucket as bucket_commands
from mallee.cli import home
from mallee.cli import login as login_command
from mallee.cli import user as user_commands
from mallee.cli.home import Sorry

application = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)

Instance = Annotated[str, typer.Argument(metavar="i-…", help="an instance's id")]


@application.command()
def up(
    simulated: Annotated[bool, typer.Option("--simulated", help="simulated nodes: no root, no QEMU, the API only")] = False,
    port: Annotated[int | None, typer.Option(help="the API's port; TLS and metrics take the next two")] = None,
    host: Annotated[str | None, typer.Option(help="the address to listen on")] = None,
    region: Annotated[str | None, typer.Option(help="the region's name; AWS's own may be used")] = None,
    zones: Annotated[str | None, typer.Option(help="names of the zones, with commas between")] = None,
    public_pool: Annotated[str | None, typer.Option(help="CIDR of public addresses")] = None,
    egress: Annotated[str | None, typer.Option(help="nat: guests reach beyond this machine; none: they do not")] = None,
    boot_seconds: Annotated[float | None, typer.Option(help="how long a simulated guest takes to boot; 0 for none")] = None,
    first_instance: Annotated[bool, typer.Option(help="launch a first instance the first time")] = True,
) -> None:
    """Set up, start, launch the first instance. May be run again at any time."""
    from mallee.cli.progress import Progress
    from mallee.cli.up import Up, Wishes

    wanted = {
        "port": port,
        "host": host,
        "region": region,
        "zones": tuple(zones.split(",")) if zones else None,
        "public_pool": tuple(public_pool.split(",")) if public_pool else None,
        "egress": egress,
        "simulated_boot_seconds": boot_seconds,
    }
    if not simulated and os.geteuid() != 0 and not (home.default() / "config.toml").exists():
        raise Sorry("real guests and networks need root: use `sudo ./mallee up`, or `./mallee up --simulated` for the API alone")
    Up(home.default(), Wishes(simulated, wanted, first_instance), Progress()).run()


@application.command()
def down(
    destroy: Annotated[bool, typer.Option("--destroy", help="remove everything: guests, disks, networks, files")] = False,
    keep_guests: Annotated[bool, typer.Option("--keep-guests", help="leave the guests running")] = False,
) -> None:
    """Stop the cloud and its guests."""
    from mallee.cli import down as module
    from mallee.cli.progress import Progress

    if destroy and keep_guests:
        raise Sorry("--destroy removes the guests: it cannot keep them")
    path = home.default()
    if not path.exists():
        print(f"mallee: there is no cloud in {path}")
        return
    module.down(home.settings(path), Progress(), keep_guests=keep_guests, destroy=destroy)


@application.command()
def env(
    tls: Annotated[bool, typer.Option("--tls", help="the encrypted endpoint, with its authority")] = False,
    account: Annotated[str | None, typer.Option(help="an account whose key was kept here, by id or alias")] = None,
) -> None:
    """Print shell exports: eval "$(./mallee env)"."""
    from mallee.cli import calls, environment

    chosen = home.settings()
    print(environment.exports(chosen, tls, calls.keys_of(chosen, account)))


@application.command()
def status() -> None:
    """What runs, what it holds, what is wrong."""
    from mallee.cli import status as module

    raise typer.Exit(module.show(home.settings()))


@application.command()
def logs(
    name: Annotated[str | None, typer.Argument(help="cloud, node, simulator, supervisor or libvirtd; all when left out")] = None,
    lines: Annotated[int, typer.Option("-n", "--lines")] = 40,
    follow: Annotated[bool, typer.Option("-f", "--follow")] = False,
) -> None:
    """Show the logs."""
    from mallee.cli import logs as module

    module.show(home.settings(), name, lines, follow)


@application.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
)
def ssh(
    context: typer.Context,
    instance: Instance,
    user: Annotated[str, typer.Option("-l", "--user")] = "ec2-user",
    identity: Annotated[Path | None, typer.Option("-i", "--identity", help="a private key file")] = None,
) -> None:
    """Log in to an instance through its node, or run a command there."""
    from mallee.cli import ssh as module
    from mallee.cli.client import client

    chosen = home.settings()
    found = client("ec2", chosen).describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    words = module.command(chosen, instance, found.get("KeyName"), user=user, identity=identity, remote=context.args)
    raise typer.Exit(subprocess.run(words, check=False).returncode)


@application.command()
def doctor(instance: Annotated[str | None, typer.Argument(metavar="[i-…]", help="walk the path of one instance")] = None) -> None:
    """Check the installation, or one instance hop by hop."""
    from mallee.cli.doctor import examine

    raise typer.Exit(examine(home.settings(), instance))


@application.command()
def audit() -> None:
    """Compare rows, domains, disks, ports, rules and leases; say what differs."""
    from mallee.cli.audit import run

    raise typer.Exit(run(home.settings()))


prove = typer.Typer(help="Prove on this cloud that it works.", no_args_is_help=True, rich_markup_mode=None)
application.add_typer(prove, name="prove")


@prove.callback()
def prove_group() -> None:
    """Prove on this cloud that it works."""


@prove.command("loop")
def prove_loop(
    count: Annotated[int, typer.Option(min=1, max=100_000, help="how many loops")] = 10,
    parallel: Annotated[int, typer.Option(min=1, max=64, help="how many at a time")] = 1,
) -> None:
    """The ten steps of a user's day, again and again, each loop from a new key pair to its deletion."""
    from mallee.cli import prove as module

    raise typer.Exit(module.loop(home.settings(), count, parallel))


for name, module in (("account", account_commands), ("bucket", bucket_commands), ("user", user_commands)):
    application.add_typer(module.application, name=name)
application.command("login")(login_command.login)


def main() -> None:
    try:
        application(standalone_mode=True)
    except Sorry as sorry:
        sys.exit(f"mallee: {sorry}")
    except PermissionError as error:
        sys.exit(f"mallee: {error.filename or error}: permission denied; use sudo for a cloud that root made")
    except KeyboardInterrupt:
        sys.exit("\nmallee: interrupted; run the same command again to go on")


if __name__ == "__main__":
    main()
