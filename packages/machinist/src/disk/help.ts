/** What `machinist disk --help` says. */
export const DISK_HELP: string = `machinist disk - makes, converts and checks disk images

Usage:
  machinist disk info FILE [--json]        what an image is
  machinist disk create FILE SIZE          make an image that reads as zeroes
  machinist disk create FILE [SIZE] --backing BASE
                                           make one that holds what differs from BASE
  machinist disk convert FROM TO           write the content of FROM, with all below it, as an image TO
  machinist disk resize FILE SIZE|+SIZE|-SIZE
                                           make the disk larger, or with --shrink smaller
  machinist disk check FILE [--repair leaks|all] [--json]
                                           look for damage and for space that nothing uses

Sizes are bytes, or have a unit: 512M, 20G. FILE and FROM may be http: and https: URLs where they are only read.

  --format FORMAT      raw, qcow2 or another, of FILE or of TO. Otherwise a new image has the format
                       of its name's extension, else raw, and an old one what its signature shows.
  --from FORMAT        that of FROM
  --set NAME=VALUE     a parameter of the new image, such as cluster_size=2M. Repeat for more.
  --backing-format F   the format of BASE
  --snapshot NAME      convert an internal snapshot of FROM
  --files WHICH        the files that an image may name: inside (its folder and below; the default),
                       any, or none
  --lock off           do not mind that another program has the image open; on: only where it can
                       be locked. Otherwise, it is locked where the system can, as QEMU does
  --force              write over a file that exists
  --quiet              no progress

Exit status: 0 when all is well; 1 for an error; 2 for a mistake in the command line; of check, 3 when
space leaks and 4 when there is damage (that is left, with --repair).

Examples:
  machinist disk create data.qcow2 20G
  machinist disk create test.qcow2 --backing debian.qcow2
  machinist disk convert debian.qcow2 debian.img
`
