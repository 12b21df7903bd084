/**
 * What runs in the guest that builds the disk: busybox on our own machine, as root of that. /dev/vda is the disk that is built, /dev/vdb
 * the one with the packages. Lines that begin with `@` tell of progress.
 */

/** Mounts the disk with all that programs in it expect. */
const ENTER = `set -e
mkdir -p /target
mount -t ext4 /dev/vda /target
cd /target
mkdir -p dev proc sys run tmp
mount -t proc proc proc
mount -t sysfs sys sys
mount --bind /dev dev
mount -t tmpfs -o mode=0755 run run
mount -t tmpfs -o mode=1777 tmp tmp
`

const LEAVE = `cd /
umount /target/tmp /target/run /target/dev /target/sys /target/proc
umount /target
`

/** Before trixie no package has the links from /bin and the like to /usr. */
const MERGE = `for folder in bin sbin lib; do
  mkdir -p /target/usr/$folder
  ln -s usr/$folder /target/$folder
done
`

/**
 * Extracts the essential packages, so that dpkg and shell are there, and then lets dpkg install everything, these once more: the order in
 * which packages need one another has no beginning otherwise.
 *
 * @param merge - makes the links to /usr first
 */
export const installScript = (merge: boolean): string => `set -e
mkdir -p /target /packages
mount -t ext4 /dev/vda /target
mount -t ext4 -o ro /dev/vdb /packages
${merge ? MERGE : ''}echo "@Extracting the essential packages"
for name in base-files $(cat /packages/essential); do
  ar p "/packages/debs/$name.deb" data.tar | tar x -C /target
done
umount /target
${ENTER}
mkdir packages
mount --bind /packages packages
cp -a /machinist/files/. .
# dpkg-deb left no trace of what it extracted: dpkg begins with an empty list.
mkdir -p var/lib/dpkg/info var/lib/dpkg/updates var/lib/dpkg/triggers var/lib/dpkg/parts
: >var/lib/dpkg/status
# No service is started here.
printf '#!/bin/sh\\nexit 101\\n' >usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
# The keys that this would make are for everybody who has the disk; files that are there already are left alone.
mkdir -p etc/ssh
for kind in rsa ecdsa ed25519; do : >etc/ssh/ssh_host_\${kind}_key; done
cp /machinist/second tmp/second
chroot /target /bin/sh /tmp/second
rm -f usr/sbin/policy-rc.d etc/ssh/ssh_host_*_key var/lib/systemd/random-seed var/lib/dbus/machine-id
rm -f var/log/dpkg.log var/log/alternatives.log var/log/bootstrap.log vmlinuz.old initrd.img.old
: >etc/machine-id
umount packages
rmdir packages
${LEAVE}umount /packages
`

/** Runs in the system itself. */
export const SECOND: string = `set -e
export DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true LC_ALL=C.UTF-8 HOME=/root
export PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_OFFLINE=1
dpkg() { /usr/bin/dpkg --force-unsafe-io "$@" 2>&1; }
debs() { while read -r name; do echo "/packages/debs/$name.deb"; done; }
# Others need users that this makes.
dpkg --force-depends --install /packages/debs/base-passwd.deb
dpkg --force-depends --unpack $(grep -vx base-passwd /packages/essential | debs)
dpkg --configure --pending
# Once, at the end.
export INITRD=No
dpkg --force-depends --unpack $(grep -vxFf /packages/essential /packages/all | debs)
dpkg --configure --pending
faulty=$(/usr/bin/dpkg --audit)
[ -z "$faulty" ] || { echo "$faulty" >&2; exit 1; }
echo "@Setting up the system"
systemctl enable systemd-networkd.service
systemctl disable systemd-networkd-wait-online.service e2scrub_all.timer e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer
for image in /boot/vmlinu[xz]-*; do
  echo "@Making the initial file system"
  update-initramfs -c -k "\${image#*-}"
done
`

/** Gives a system its own name, password and keys. */
export const SETTLE: string = `${ENTER}
cp -a /machinist/files/. .
if [ -f /machinist/password ]; then
  chroot /target /usr/sbin/chpasswd </machinist/password
else
  chroot /target /usr/bin/passwd -q -d root
fi
sync
${LEAVE}`
