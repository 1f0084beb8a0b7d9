//! One folder: some kills under load, then a last start after which everything has to end.

use super::Planted;
use super::callbacks;
use super::callers::Callers;
use super::chance::Chance;
use super::evidence::{Evidence, now};
use super::killer::{Kill, Killer};
use super::operator::Operator;
use super::scenes;
use super::service::{Death, Door, Service};
use super::target::Target;
use anyhow::{Result, bail};
use serde_json::json;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long everything may take to end. What has not by then is for the judge.
const DRAIN: Duration = Duration::from_mins(3);
/// How long nothing may be left before it is believed.
const QUIET: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(20);

pub(super) struct Round<'r> {
    pub(super) program: &'r Path,
    pub(super) folder: &'r Path,
    pub(super) callers: usize,
    pub(super) planted: Option<&'r Planted>,
}

/// What all threads of a round share.
struct Stage<'s> {
    evidence: &'s Evidence,
    door: &'s Door,
    operator: &'s Operator<'s>,
}

impl Round<'_> {
    /// Kills so often; what was seen is in the folder afterwards.
    pub(super) fn play(&self, killer: &mut Killer, kills: u64, chance: &mut Chance) -> Result<()> {
        let evidence = Evidence::new(self.folder)?;
        let target = Target::new(&evidence, chance.fork())?;
        let (door, ended) = (Door::default(), AtomicBool::new(false));
        scenes::write(self.folder, target.address()?)?;
        let operator = Operator {
            evidence: &evidence,
            door: &door,
            folder: self.folder,
            target: target.address()?,
            again: Mutex::default(),
        };
        let callers = Callers { evidence: &evidence, door: &door, ended: &ended };
        let stage = Stage { evidence: &evidence, door: &door, operator: &operator };
        let played = std::thread::scope(|scope| {
            scope.spawn(|| target.serve(scope));
            let mut working = Vec::new();
            for number in 0..self.callers {
                let (callers, chance) = (&callers, chance.fork());
                working.push(scope.spawn(move || callers.send(number, chance)));
            }
            let (operating, calling) = (chance.fork(), chance.fork());
            working.push(scope.spawn(|| operator.work(&ended, operating)));
            working.push(scope.spawn(|| callbacks::call(&target, &evidence, &door, &ended, calling)));
            let played = self.kill(&stage, killer, kills);
            ended.store(true, Ordering::Relaxed);
            let played = played.and_then(|()| {
                self.drain(&stage, || working.iter().all(std::thread::ScopedJoinHandle::is_finished))
            });
            // In any case nobody waits any longer.
            door.set(None);
            door.close();
            target.end();
            played
        });
        evidence.close()?;
        played
    }

    fn kill(&self, stage: &Stage<'_>, killer: &mut Killer, kills: u64) -> Result<()> {
        let last = killer.kills() + kills;
        for kill in killer.first() {
            if killer.kills() < last {
                self.kill_once(stage, killer, &kill)?;
            }
        }
        while killer.kills() < last {
            let kill = killer.next();
            self.kill_once(stage, killer, &kill)?;
            if let Some(life) = killer.end_in_order() {
                self.end_in_order(stage, life)?;
            }
        }
        Ok(())
    }

    /// A life that an operator ends. What was under way then may be interrupted as well.
    fn end_in_order(&self, stage: &Stage<'_>, life: Duration) -> Result<()> {
        let service = self.start(stage)?;
        std::thread::sleep(life);
        let ended = service.stop();
        stage.evidence.operator(&json!({"kind": "died", "at": stage.evidence.at()}));
        stage.door.set(None);
        ended
    }

    /// Starts it without an order to die.
    fn start(&self, stage: &Stage<'_>) -> Result<Service> {
        let order = match self.planted {
            Some(Planted::Program(plant)) => Some(&**plant),
            _ => None,
        };
        let mut service = Service::spawn(self.program, self.folder, order)?;
        let Some(addresses) = service.listening()? else { bail!("the service died at its start") };
        stage.door.set(Some(addresses));
        Ok(service)
    }

    fn kill_once(&self, stage: &Stage<'_>, killer: &mut Killer, kill: &Kill) -> Result<()> {
        let order = match self.planted {
            Some(Planted::Program(plant)) => Some(plant),
            _ => kill.order.as_ref(),
        };
        let mut service = Service::spawn(self.program, self.folder, order.map(String::as_str))?;
        let death = match service.listening()? {
            Some(addresses) => {
                stage.door.set(Some(addresses));
                service.live(kill.life)?
            }
            None => Death::AtPoint,
        };
        // Whoever asks now finds nobody; the moment is no earlier than the death.
        stage.evidence.operator(&json!({"kind": "died", "at": stage.evidence.at()}));
        stage.door.set(None);
        killer.count(kill, death);
        Ok(())
    }

    /// The last life: nothing is sent any more but repetitions, and everything ends.
    fn drain(&self, stage: &Stage<'_>, is_over: impl Fn() -> bool) -> Result<()> {
        let service = self.start(stage)?;
        let (began, mut quiet) = (now(), now());
        while began.elapsed() < DRAIN && quiet.elapsed() < QUIET {
            std::thread::sleep(POLL);
            if stage.operator.run_again() > 0 || !is_over() || !stage.evidence.owes_nothing() {
                quiet = now();
            }
        }
        service.stop()
    }
}
