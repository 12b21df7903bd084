/* Draws on the first display through DRM: a pattern all over the screen, and a cursor. Says so, and waits for the end of its input. */
#include <drm/drm.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

static int card;

static void ask(unsigned long request, void *argument, const char *what) {
  if (ioctl(card, request, argument) == 0) return;
  perror(what);
  exit(1);
}

/* A picture of 32 bits a pixel: blue is the column, green the row, red their sum. */
static uint32_t picture(unsigned width, unsigned height, uint32_t alpha) {
  struct drm_mode_create_dumb dumb = { .width = width, .height = height, .bpp = 32 };
  ask(DRM_IOCTL_MODE_CREATE_DUMB, &dumb, "create");
  struct drm_mode_map_dumb map = { .handle = dumb.handle };
  ask(DRM_IOCTL_MODE_MAP_DUMB, &map, "map");
  uint8_t *rows = mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, card, (off_t)map.offset);
  if (rows == MAP_FAILED) {
    perror("mmap");
    exit(1);
  }
  for (unsigned y = 0; y < height; y++) {
    for (unsigned x = 0; x < width; x++) {
      ((uint32_t *)(rows + y * dumb.pitch))[x] = alpha << 24 | ((x + y) & 255) << 16 | (y & 255) << 8 | (x & 255);
    }
  }
  return dumb.handle;
}

int main(void) {
  card = open("/dev/dri/card0", O_RDWR);
  uint32_t crtc = 0, connector = 0;
  struct drm_mode_card_res all = { .crtc_id_ptr = (uintptr_t)&crtc, .connector_id_ptr = (uintptr_t)&connector, .count_crtcs = 1, .count_connectors = 1 };
  ask(DRM_IOCTL_MODE_GETRESOURCES, &all, "resources");
  /* Asked with room for no modes, the kernel looks for them anew. */
  struct drm_mode_get_connector about = { .connector_id = connector };
  ask(DRM_IOCTL_MODE_GETCONNECTOR, &about, "modes");
  struct drm_mode_modeinfo *modes = calloc(about.count_modes, sizeof *modes);
  about = (struct drm_mode_get_connector){ .connector_id = connector, .count_modes = about.count_modes, .modes_ptr = (uintptr_t)modes };
  ask(DRM_IOCTL_MODE_GETCONNECTOR, &about, "mode");

  unsigned width = modes[0].hdisplay, height = modes[0].vdisplay;
  struct drm_mode_fb_cmd frame = { .width = width, .height = height, .pitch = 4 * width, .bpp = 32, .depth = 24, .handle = picture(width, height, 0) };
  ask(DRM_IOCTL_MODE_ADDFB, &frame, "frame buffer");
  struct drm_mode_crtc set = { .crtc_id = crtc, .fb_id = frame.fb_id, .set_connectors_ptr = (uintptr_t)&connector, .count_connectors = 1, .mode = modes[0], .mode_valid = 1 };
  ask(DRM_IOCTL_MODE_SETCRTC, &set, "mode");
  struct drm_mode_cursor2 cursor = { .flags = DRM_MODE_CURSOR_BO | DRM_MODE_CURSOR_MOVE, .crtc_id = crtc, .x = 100, .y = 50, .width = 64, .height = 64, .handle = picture(64, 64, 128), .hot_x = 3, .hot_y = 5 };
  ask(DRM_IOCTL_MODE_CURSOR2, &cursor, "cursor");
  usleep(300000);
  printf("drawn %ux%u\n", width, height);
  fflush(stdout);
  while (getchar() != EOF) continue;
  return 0;
}
