/* trainyard/trainyard.h: all of the API. */
#ifndef TRAINYARD_TRAINYARD_H_
#define TRAINYARD_TRAINYARD_H_

#include <trainyard/child_run.h>
#include <trainyard/common.h>
#include <trainyard/compute.h>
#include <trainyard/datastore.h>
#include <trainyard/distribution.h>
#include <trainyard/environment.h>
#include <trainyard/error.h>
#include <trainyard/event.h>
#include <trainyard/export.h>
#include <trainyard/host_run.h>
#include <trainyard/job.h>
#include <trainyard/log.h>
#include <trainyard/metric.h>
#include <trainyard/model.h>
#include <trainyard/predict.h>
#include <trainyard/run.h>
#include <trainyard/train.h>
#include <trainyard/version.h>
#include <trainyard/workspace.h>

#endif /* TRAINYARD_TRAINYARD_H_ */
