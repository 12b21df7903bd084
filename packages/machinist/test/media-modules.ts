/** Drivers of graphics, input and sound in Debian's kernel. One list for all tests, since a guest with other modules is fetched anew. */
export const mediaModules: readonly string[] = ['virtio_gpu', 'virtio_input', 'evdev', 'virtio_snd']
