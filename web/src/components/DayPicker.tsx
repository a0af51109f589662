/**
 * Choosing one day: a box with the day that opens a calendar, a day back, a day ahead, today. Days that have
 * something to see are marked, and say so in words.
 */
import { ActionIcon, Button, Group, Popover } from '@mantine/core';
import { DatePicker } from '@mantine/dates';
import '@mantine/dates/styles.css';
import { IconCalendar, IconChevronLeft, IconChevronRight } from '@tabler/icons-react';
import { useState } from 'react';
import { addDays, type Day, dayOf, shortDay, startOf } from '../format/time';

export interface DayMark {
  complete: number;
  failed: number;
}

interface DayPickerProps {
  day: Day;
  today: Day;
  /** What is known of a day. */
  markOf: (day: Day) => DayMark | undefined;
  onChange: (day: Day) => void;
  /** The calendar shows another month. */
  onMonth: (day: Day) => void;
}

export function DayPicker({ day, today, markOf, onChange, onMonth }: DayPickerProps) {
  const [open, setOpen] = useState(false);
  const isToday = day >= today;
  return (
    <Group gap={6} wrap="nowrap">
      <Popover opened={open} onChange={setOpen} position="bottom-start" trapFocus returnFocus shadow="md">
        <Popover.Target>
          <Button
            variant="default"
            rightSection={<IconCalendar size={16} aria-hidden />}
            onClick={() => setOpen(!open)}
            aria-label={`Day: ${shortDay(day)}. Choose another`}
            className="numbers"
          >
            {shortDay(day)}
          </Button>
        </Popover.Target>
        <Popover.Dropdown>
          <DatePicker
            value={day}
            defaultDate={day}
            maxDate={today}
            firstDayOfWeek={1}
            // Red is for failures.
            weekendDays={[]}
            hideOutsideDates
            ariaLabels={{
              previousMonth: 'Previous month',
              nextMonth: 'Next month',
              monthLevelControl: 'Choose a month',
              yearLevelControl: 'Choose a year',
            }}
            onDateChange={onMonth}
            onChange={(chosen) => {
              if (!chosen) return;
              onChange(chosen);
              setOpen(false);
            }}
            getDayProps={(shown) => ({ 'aria-label': dayLabel(shown, markOf(shown)) })}
            renderDay={(shown) => <MarkedDay day={shown} mark={markOf(shown)} />}
          />
          <Group gap="md" mt="sm" fz="xs" c="dimmed">
            <Legend tone="ok">Backups</Legend>
            <Legend tone="bad">Failures</Legend>
          </Group>
        </Popover.Dropdown>
      </Popover>
      <ActionIcon.Group>
        <ActionIcon
          variant="default"
          size={36}
          aria-label="Previous day"
          onClick={() => onChange(addDays(day, -1))}
        >
          <IconChevronLeft size={17} aria-hidden />
        </ActionIcon>
        <ActionIcon
          variant="default"
          size={36}
          aria-label="Next day"
          disabled={isToday}
          onClick={() => onChange(addDays(day, 1))}
        >
          <IconChevronRight size={17} aria-hidden />
        </ActionIcon>
      </ActionIcon.Group>
      <Button variant="default" disabled={isToday} onClick={() => onChange(today)}>
        Today
      </Button>
    </Group>
  );
}

function dayLabel(day: Day, mark: DayMark | undefined): string {
  const words = [shortDay(day)];
  if (mark?.complete) words.push(mark.complete === 1 ? '1 backup' : `${mark.complete} backups`);
  if (mark?.failed) words.push(mark.failed === 1 ? '1 failure' : `${mark.failed} failures`);
  return words.join(', ');
}

function MarkedDay({ day, mark }: { day: Day; mark: DayMark | undefined }) {
  const both = mark !== undefined && mark.complete > 0 && mark.failed > 0;
  return (
    <span className="day-marks">
      {startOf(day).getUTCDate()}
      {mark !== undefined && mark.complete > 0 && <i data-complete data-beside={both || undefined} />}
      {mark !== undefined && mark.failed > 0 && <i data-failed data-beside={both || undefined} />}
    </span>
  );
}

function Legend({ tone, children }: { tone: string; children: string }) {
  return (
    <Group gap={6}>
      <span className="dot" data-tone={tone} aria-hidden />
      {children}
    </Group>
  );
}

/** The months around a day, which is what the calendar may show of it. */
export function monthsAround(day: Day): { from: Day; until: Day } {
  const at = startOf(day);
  const edge = (months: number) =>
    dayOf(new Date(Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + months, 1)));
  return { from: edge(-1), until: edge(2) };
}
