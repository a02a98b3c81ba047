"""The compiled loops of the event camera: pixels from frame to frame, and their events in order."""

from __future__ import annotations

import numpy as np

from neurobip.compiled import njit


@njit(nogil=True)
def draw(random, n):  # type: ignore[no-untyped-def]
    """The next random number of pixel n, in (0, 1].

    Source: Steele, Lea, Flood 2014 (SplitMix64).
    """
    random[n] += np.uint64(0x9E3779B97F4A7C15)
    z = random[n]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (float(z >> np.uint64(11)) + 1.0) * 2.0**-53


@njit(nogil=True)
def run_pixels(  # type: ignore[no-untyped-def]
    light, level, keep, lag,
    thresholds, seen, last, filtered, moved, blind, hazard, random,
    noise, noise_on, dimming, leak, refractory, frame_us,
):  # fmt: skip
    """Every pixel through every frame; writes the state's arrays.

    Between two frames a pixel's level moves linearly, so that all its events there follow in
    closed form: an event sets `moved` to 0, and so it stays until the pixel sees again.

    Shape: light, level, keep, lag [K, H * W] as `EventCamera.optics` makes them, thresholds
        [2, H * W], the rest of the state as `CameraState`, noise (of both polarities) and noise_on
        [H * W] -> times int64 [events] and places int64 [events], which are 2 * pixel + on; by
        frame, then by pixel, then by time.
    Units: µs, and events per µs.
    """
    frames, pixels = level.shape
    pace = 1.0 / frame_us
    count, room = 0, 4096
    times, places = np.empty(room, np.int64), np.empty(room, np.int64)
    for k in range(frames):
        # The very first frame has nothing before it to come from.
        if seen + k == 0:
            continue
        begin = (seen + k - 1) * frame_us
        for n in range(pixels):
            goal, before = level[k, n], filtered[n]
            after = (
                goal
                + keep[k, n] * (before - goal)
                + (lag[k, n] - keep[k, n]) * (last[n] - goal)
            )
            filtered[n], last[n] = after, goal
            time = blind[n]
            if time >= frame_us:
                blind[n] = time - frame_us
                continue
            blind[n] = 0.0
            away, wait = moved[n], hazard[n]
            off, on = thresholds[0, n], thresholds[1, n]
            noise_rate = noise[n] * (1.0 - dimming * min(light[k, n], 1.0))
            # The remembered level sinks: to the pixel that is as if the light rose.
            slope = (after - before) * pace + leak
            while True:
                left = frame_us - time
                ahead = away + slope * left
                noisy = wait < noise_rate * left
                if -off < ahead < on and not noisy:
                    away = ahead
                    wait -= noise_rate * left
                    break
                # What comes first: a threshold, or noise.
                delay, polarity = left, -1
                if ahead >= on:
                    delay, polarity = min(max((on - away) / slope, 0.0), left), 1
                elif ahead <= -off:
                    delay, polarity = min(max((-off - away) / slope, 0.0), left), 0
                if noisy and (polarity < 0 or wait < noise_rate * delay):
                    delay = wait / noise_rate
                    wait = -np.log(draw(random, n))
                    polarity = 1 if draw(random, n) * noise[n] <= noise_on[n] else 0
                else:
                    wait -= noise_rate * delay
                time += delay
                if count == room:
                    room *= 2
                    longer, further = np.empty(room, np.int64), np.empty(room, np.int64)
                    longer[:count], further[:count] = times, places
                    times, places = longer, further
                times[count] = int(begin + time)
                places[count] = 2 * n + polarity
                count += 1
                away = 0.0
                time += refractory
                if time >= frame_us:
                    blind[n] = time - frame_us
                    break
            moved[n], hazard[n] = away, wait
    return times[:count], places[:count]


@njit(nogil=True)
def sort_events(times, places, start, width, t, x, y, p):  # type: ignore[no-untyped-def]
    """Sort by time, keeping the order of what is simultaneous, into the columns of events.

    Counting sort by digits of 11 bits, the lowest first; the last round writes the events.

    Shape: times, places as `run_pixels` gives them, no time before start -> t, x, y, p [events].
    """
    count, bits = times.shape[0], np.int64(11)
    if count == 0:
        return
    span = np.max(times) - start
    shift, mask = np.int64(0), np.int64(2**11 - 1)
    position = np.empty(2**11, np.int64)
    while True:
        position[:] = 0
        for n in range(count):
            position[((times[n] - start) >> shift) & mask] += 1
        total = 0
        for d in range(2**11):
            here = position[d]
            position[d] = total
            total += here
        if (span >> shift) <= mask:
            break
        next_times, next_places = np.empty_like(times), np.empty_like(places)
        for n in range(count):
            d = ((times[n] - start) >> shift) & mask
            next_times[position[d]], next_places[position[d]] = times[n], places[n]
            position[d] += 1
        times, places = next_times, next_places
        shift += bits
    for n in range(count):
        d = ((times[n] - start) >> shift) & mask
        at = position[d]
        position[d] += 1
        pixel = places[n] >> 1
        t[at], x[at], y[at], p[at] = times[n], pixel % width, pixel // width, places[n] & 1 == 1
