/*
 * `sound play FRAMES`: plays a ramp, 48000 frames a second, two channels of 16 bits: 37 more each frame to the left, its negative to the right.
 * `sound record FRAMES`: writes what it records, in the same format, to its standard output.
 */
#include <fcntl.h>
#include <limits.h>
#include <sound/asound.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { RATE = 48000, CHANNELS = 2, PERIOD = 8192, PERIODS = 4 };

static int pcm;

static void ask(unsigned long request, void *argument, const char *what) {
  if (ioctl(pcm, request, argument) == 0) return;
  perror(what);
  exit(1);
}

static void one(struct snd_pcm_hw_params *params, int name, unsigned value) {
  if (name <= SNDRV_PCM_HW_PARAM_LAST_MASK) {
    struct snd_mask *mask = &params->masks[name - SNDRV_PCM_HW_PARAM_FIRST_MASK];
    memset(mask, 0, sizeof *mask);
    mask->bits[value / 32] = 1u << value % 32;
  } else {
    struct snd_interval *interval = &params->intervals[name - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL];
    *interval = (struct snd_interval){ .min = value, .max = value, .integer = 1 };
  }
}

static void open_pcm(const char *path, int mode) {
  pcm = open(path, mode);
  if (pcm < 0) {
    perror(path);
    exit(1);
  }
  struct snd_pcm_hw_params params;
  memset(&params, 0, sizeof params);
  memset(params.masks, 0xff, sizeof params.masks);
  for (int i = 0; i <= SNDRV_PCM_HW_PARAM_LAST_INTERVAL - SNDRV_PCM_HW_PARAM_FIRST_INTERVAL; i++) params.intervals[i].max = UINT_MAX;
  params.rmask = params.info = UINT_MAX;
  one(&params, SNDRV_PCM_HW_PARAM_ACCESS, (unsigned)SNDRV_PCM_ACCESS_RW_INTERLEAVED);
  one(&params, SNDRV_PCM_HW_PARAM_FORMAT, (unsigned)SNDRV_PCM_FORMAT_S16_LE);
  one(&params, SNDRV_PCM_HW_PARAM_CHANNELS, CHANNELS);
  one(&params, SNDRV_PCM_HW_PARAM_RATE, RATE);
  one(&params, SNDRV_PCM_HW_PARAM_PERIOD_SIZE, PERIOD);
  one(&params, SNDRV_PCM_HW_PARAM_PERIODS, PERIODS);
  ask(SNDRV_PCM_IOCTL_HW_PARAMS, &params, "parameters");
  ask(SNDRV_PCM_IOCTL_PREPARE, NULL, "prepare");
}

int main(int count, char **words) {
  if (count != 3) return 2;
  unsigned long frames = strtoul(words[2], NULL, 10);
  int16_t (*samples)[CHANNELS] = calloc(frames, sizeof *samples);
  struct snd_xferi transfer = { .buf = samples, .frames = frames };
  if (strcmp(words[1], "play") == 0) {
    for (unsigned long i = 0; i < frames; i++) {
      samples[i][0] = (int16_t)(i * 37);
      samples[i][1] = (int16_t)-(i * 37);
    }
    open_pcm("/dev/snd/pcmC0D0p", O_RDWR);
    ask(SNDRV_PCM_IOCTL_WRITEI_FRAMES, &transfer, "write");
    ask(SNDRV_PCM_IOCTL_DRAIN, NULL, "drain");
  } else {
    open_pcm("/dev/snd/pcmC0D0c", O_RDWR);
    ask(SNDRV_PCM_IOCTL_READI_FRAMES, &transfer, "read");
    fwrite(samples, sizeof *samples, (size_t)transfer.result, stdout);
  }
  close(pcm);
  return 0;
}
